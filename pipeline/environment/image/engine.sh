# Sourced by the scripts beside it: which container engine works here.

# Sets `engine` to docker or podman, whichever answers, docker first; to nothing where neither does.
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
What to do:
  Debian, Ubuntu:  apt-get install podman
  Fedora, RHEL:    dnf install podman
  macOS, Windows:  Docker Desktop or Podman Desktop, started
  docker is there: start its daemon (systemctl start docker), and be in the group docker
MESSAGE
  exit 1
}
