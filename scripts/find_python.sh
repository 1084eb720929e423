#!/bin/sh
# Print the first Python of a supported version. One that is only a name on the PATH (a version manager's shim for a
# version that is not selected) does not run, and is passed over.
for candidate in python3.11 python3.12 python3.13 python3 python; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
        echo "$candidate"
        exit 0
    fi
done
