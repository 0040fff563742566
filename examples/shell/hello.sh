#!/bin/sh
# Greets as its data says. It starts at the root of its runfiles.
set -eu
exec jq --raw-output '"\(.greeting) from \(.language)"' greeting.json
