#!/bin/sh
# Collects what the image holds into a folder: Python, the libraries it is linked with, and the service.
set -eu
root=${1:-image}
home=/usr/local

rm -rf "$root"
mkdir -p "$root$home/bin" "$root$home/lib" "$root/app" "$root/tmp"

# the interpreter itself, also when this runs in a virtual environment
python=$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')
version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
library=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')

cp "$python" "$root$home/bin/$version"
chmod 755 "$root$home/bin/$version"
ln -s "$version" "$root$home/bin/python3"
(cd "$library" && tar cf - \
  --exclude=__pycache__ --exclude=test --exclude=tests --exclude=idlelib --exclude=tkinter --exclude=turtledemo \
  --exclude=ensurepip --exclude=lib2to3 --exclude='config-*' --exclude=site-packages --exclude=dist-packages .) |
  (mkdir -p "$root$home/lib/$version" && cd "$root$home/lib/$version" && tar xf -)

# shared libraries of the interpreter and of its modules; the loader keeps its own path
for file in "$python" "$library"/lib-dynload/*.so; do
  ldd "$file" 2>/dev/null || true
done | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | sort -u |
  while read -r file; do
    case $file in
      */ld-*) mkdir -p "$root$(dirname "$file")" && cp -L "$file" "$root$file" ;;
      *) cp -L "$file" "$root$home/lib/" ;;
    esac
  done

cp -R service "$root/app/"
find "$root/app" -name __pycache__ -prune -exec rm -rf {} +

# only what the service needs when it runs
if grep -q '^[A-Za-z]' requirements.txt; then
  python3 -m pip install --no-cache-dir --require-hashes --target "$root$home/lib/$version/site-packages" -r requirements.txt
fi
