#!/bin/sh
# Collects what the image holds into a folder: Node, the libraries it is linked with, and the built service.
set -eu
root=${1:-image}
node=$(node -p process.execPath)

rm -rf "$root"
mkdir -p "$root/usr/local/bin" "$root/app/dist"
cp "$node" "$root/usr/local/bin/node"
chmod 755 "$root/usr/local/bin/node"

for library in $(ldd "$node" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }'); do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done

# some distributions keep parts of Node's own modules in files
for module in acorn acorn-walk cjs-module-lexer undici minimatch; do
  if ldd "$node" | grep -q libnode && [ -d "/usr/share/nodejs/$module" ]; then
    mkdir -p "$root/usr/share/nodejs"
    cp -RL "/usr/share/nodejs/$module" "$root/usr/share/nodejs/"
  fi
done

cp package.json "$root/app/"
cp -R dist/. "$root/app/dist/"
find "$root/app/dist" -name '*.test.js*' -delete

# only what the service needs when it runs
if [ "$(node -p 'Object.keys(require("./package.json").dependencies ?? {}).length')" -gt 0 ]; then
  cp package-lock.json "$root/app/"
  (cd "$root/app" && npm ci --omit=dev --no-audit --no-fund)
fi
