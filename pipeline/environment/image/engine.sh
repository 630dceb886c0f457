# Finds a working container engine. The other scripts in this folder source it.

# Sets `engine` to docker if it answers, else to podman if it answers, else to nothing.
find_engine() {
  engine=
  for candidate in ${ENGINE:-docker podman}; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" info >/dev/null 2>&1; then
      engine=$candidate
      return
    fi
  done
}

no_engine() {
  local found= reason
  for candidate in ${ENGINE:-docker podman}; do
    if command -v "$candidate" >/dev/null 2>&1; then
      reason=$("$candidate" info 2>&1 >/dev/null | tail -n 1) || true
      found="$found
  $candidate is installed, but '$candidate info' fails: $reason"
    fi
  done
  cat >&2 <<MESSAGE
image: no container engine works here.${found}
Install or start one:
  Debian, Ubuntu:  apt-get install podman
  Fedora, RHEL:    dnf install podman
  macOS, Windows:  start Docker Desktop or Podman Desktop
  with docker:     start its daemon (systemctl start docker), and add your user to the group docker
MESSAGE
  exit 1
}
