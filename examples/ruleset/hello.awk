#!/usr/bin/env -S awk -f
# Prints its data, which is at the root of its runfiles.
BEGIN {
  while ((getline line < "greeting.txt") > 0) print line
}
