#!/bin/sh
cat "$(dirname "$0")/status.txt"
