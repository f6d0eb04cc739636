# Runs one server and ends it when the fixture that owns it is gone, however that came about.
#
#   sh -c SCRIPT supervise OUT SCRATCH COMMAND [ARGUMENT...]
#
# stdin is a pipe from the owner: it closes when the owner drops the fixture, exits or is killed, and then the server is
# killed (its data is scratch, nothing is worth a slower end). OUT is `pipe` where the server's stdout goes to the owner,
# `log` where it goes the way of stderr. SCRATCH is a folder to remove after the server was killed, or empty.
# The first line on stdout is `pid N`, the server's process id.
out=$1 scratch=$2
shift 2
exec 3<&0
if [ "$out" = pipe ]; then
    "$@" </dev/null 3<&- &
else
    "$@" </dev/null 3<&- >&2 &
fi
server=$!
echo "pid $server"
{
    while read -r _; do :; done
    kill -KILL "$server"
} <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&-
# From here on nothing may hold the owner's pipe but the server: the end of it tells the owner that the server ended.
[ "$out" = pipe ] && exec >/dev/null
wait "$server" 2>/dev/null
status=$?
kill "$watch" 2>/dev/null
if [ "$status" -eq 137 ] && [ -n "$scratch" ]; then
    # Servers of the same fixture are killed at the same moment and may still be writing their last file.
    attempts=0
    until rm -rf -- "$scratch" 2>/dev/null || [ "$attempts" -ge 5 ]; do
        attempts=$((attempts + 1))
        sleep 1
    done
fi
exit "$status"
