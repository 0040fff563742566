#!/bin/sh
# Loads the image that was just built, starts a container of it, and uses the server in it. $DOCKER may name another command, such as podman.
set -eu
load=$1 push=$2
docker=${DOCKER:-docker}

image=$("$load" | tail -n 1)
container=$("$docker" run --detach --network host "$image")
trap '"$docker" logs "$container"; "$docker" rm --force "$container"' EXIT

# The first line that the server prints is its address.
for _ in $(seq 100); do
  address=$("$docker" logs "$container" | head -n 1)
  [ -z "$address" ] || break
  sleep 0.1
done

"$push" --registry "$address"
curl --fail --silent --show-error "http://$address/v2/integration/server/tags/list" | grep '"test"'
