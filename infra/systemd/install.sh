#!/bin/sh
# Installs the agent as a service of systemd, or brings an installed one up to date. May be run again at any time.
set -eu

usage() {
    cat <<'TEXT'
Usage: install.sh WHEELS

Installs bandwatch-agent from a folder of wheels, made on any machine with the same Python and processor:

    pip wheel --wheel-dir WHEELS '.[agent]'; pip download --no-deps --dest WHEELS pip

It makes the user bandwatch-agent, /opt/bandwatch-agent (the program), /etc/bandwatch/agent.env (settings; yours are
kept) and the service, which runs once the observer is enrolled:

    runuser -u bandwatch-agent -- /opt/bandwatch-agent/bin/bandwatch-agent enroll \
        --coordinator HOST:PORT --token-file FILE --data-dir /var/lib/bandwatch-agent
    systemctl restart bandwatch-agent

Needs root, systemd and Python 3.11 or newer; no network.
TEXT
}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

case "${1:-}" in
    "" | -h | --help) usage; exit 0 ;;
esac
wheels=$1
here=$(dirname "$0")
program=/opt/bandwatch-agent
[ "$(id -u)" = 0 ] || fail "run this as root"
[ -d "$wheels" ] || fail "$wheels is no folder of wheels; --help says how to make one"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed as python3"
pip=$(find "$wheels" -name 'pip-*.whl' | head -n 1)
[ -n "$pip" ] || fail "there is no pip among the wheels; --help says how to put it there"

echo "making the user bandwatch-agent"
install -D -m 644 "$here/bandwatch-agent.sysusers" /usr/lib/sysusers.d/bandwatch-agent.conf
systemd-sysusers bandwatch-agent.conf
install -d -m 700 -o bandwatch-agent -g bandwatch-agent /var/lib/bandwatch-agent

echo "installing the program into $program"
# Made beside the old one and renamed: a power cut leaves either, and the running agent keeps what it has open.
rm -rf "$program.new"
python3 -m venv --without-pip "$program.new"
python3 "$pip/pip" --python "$program.new/bin/python" install --quiet --disable-pip-version-check \
    --no-index --find-links "$wheels" 'bandwatch[agent]'
sed -i "s|$program.new|$program|" "$program.new"/bin/bandwatch*
"$program.new/bin/python" -c "import observer_agent.app"
rm -rf "$program.old"
[ ! -e "$program" ] || mv "$program" "$program.old"
mv "$program.new" "$program"
rm -rf "$program.old"

install -d -m 755 /etc/bandwatch
[ -e /etc/bandwatch/agent.env ] || install -m 640 -g bandwatch-agent "$here/agent.env" /etc/bandwatch/agent.env
install -D -m 644 "$here/bandwatch-agent.service" /etc/systemd/system/bandwatch-agent.service
# Where systemd does not run, as in a container or an image under construction, the service starts at the next boot.
systemctl --quiet enable bandwatch-agent.service
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl restart bandwatch-agent.service
fi
"$program/bin/bandwatch-agent" --help > /dev/null
echo "installed; enrol the observer if it is not yet: install.sh --help says how"
