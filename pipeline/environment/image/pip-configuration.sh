#!/usr/bin/env bash
# Writes this machine's pip settings for package indexes into FOLDER: pip.conf, and ca.pem if pip is configured with its
# own certificates. The image's build gets both as secrets.
#
#   pip-configuration.sh FOLDER
#
# It copies addresses, proxy and timeouts, but no folders of this machine, because the build does not have them.
set -euo pipefail
folder=$1
root=$(cd "$(dirname "$0")/../../.." && pwd)

found=none
for python in "$root/.venv/bin/python" python3 python; do
  if found=$("$python" -m pip config list 2>/dev/null); then break; else found=none; fi
done
if [ "$found" = none ]; then
  echo "image: there is no pip on this machine to read settings from; the build uses pip's default index" >&2
fi

# `pip config list` prints section.key='value', and lists contain \n. The environment (:env:) overrides a command's
# section, which overrides [global].
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
