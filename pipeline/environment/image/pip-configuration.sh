#!/usr/bin/env bash
# Writes what pip on this machine is told about package indexes into FOLDER: pip.conf, and ca.pem where certificates of
# its own are named. For the image's build, as secrets.
#
#   pip-configuration.sh FOLDER
#
# Taken over are addresses, proxy and time-outs; not folders of this machine, which the build does not have.
set -euo pipefail
folder=$1
root=$(cd "$(dirname "$0")/../../.." && pwd)

found=none
for python in "$root/.venv/bin/python" python3 python; do
  if found=$("$python" -m pip config list 2>/dev/null); then break; else found=none; fi
done
if [ "$found" = none ]; then
  echo "image: no pip on this machine that could be asked for its settings: packages come from where pip finds them" >&2
fi

# `pip config list` prints section.key='value', lists with \n in them. What the environment says (:env:) goes before a
# command's section, and that before [global].
value_of() {
  for section in :env: install global; do sed -nE "s/^$section\.$1='(.*)'$/\1/p" <<<"$found"; done | sed -n 1p
}

{
  echo "[global]"
  for key in index-url extra-index-url trusted-host proxy timeout default-timeout retries; do
    value=$(value_of "$key")
    if [ -n "$value" ]; then printf '%s = %s\n' "$key" "${value//\\n/$'\n'  }"; fi
  done
} > "$folder/pip.conf"

for file in "$(value_of cert)" "${SSL_CERT_FILE:-}"; do
  if [ -n "$file" ] && [ -f "$file" ]; then
    cp "$file" "$folder/ca.pem"
    break
  fi
done
