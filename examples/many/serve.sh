#!/bin/sh
# Stands for a server: it says what it would serve.
set -eu
. /etc/service.env
echo "$name listens on port $port"
