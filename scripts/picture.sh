#!/bin/sh
# `scripts/picture.sh PAGE PICTURE`, run by `make picture`: what a browser shows of the demo's report, for README.md.
set -eu

profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$profile" --window-size=1000,1120 \
    --screenshot="$profile/picture.png" "file://$1" >/dev/null 2>&1
mv "$profile/picture.png" "$2"
echo "$2"
