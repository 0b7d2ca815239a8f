#!/bin/sh
# The app of the embedded pool. It writes all it was given to result.txt: the same on every worker.
# Some words among its arguments are orders, the others just words:
#
#   sleep=SECONDS      works that long first          print=LINES      prints so many lines
#   exit=CODE          exits with CODE at the end     size=BYTES       a result of that size
#   no-computed        writes no computed.json        long-name        a file name of 40 letters
#   directory          the result is a directory      whole            … is all of iexec_out
#   callback=0xDATA    the result is callback data    differ           every run another result
#   link               the result is a symbolic link  missing          the result does not exist

set -u
out="${IEXEC_OUT:-/iexec_out}"
in="${IEXEC_IN:-/iexec_in}"
path="$out/result.txt"
code=0
computed=yes
callback=

for word in "$@"; do
    value="${word#*=}"
    case "$word" in
        sleep=*) sleep "$value" ;;
        exit=*) code="$value" ;;
        print=*) i=0; while [ "$i" -lt "$value" ]; do echo "line $i"; i=$((i + 1)); done ;;
        no-computed) computed=no ;;
        callback=*) callback="$value" ;;
        directory) path="$out/result" ;;
        whole) path="$out" ;;
        link) path="$out/link" ;;
        missing) path="$out/missing" ;;
    esac
done

{
    echo "task index: ${IEXEC_TASK_INDEX:-none} of ${IEXEC_BOT_SIZE:-none}"
    for word in "$@"; do
        echo "argument: [$word]"
    done
    dataset="$in/${IEXEC_DATASET_FILENAME:-none}"
    if [ -f "$dataset" ]; then
        echo "dataset: $(sha256sum < "$dataset")"
    fi
    number=1
    while [ "$number" -le "${IEXEC_INPUT_FILES_NUMBER:-0}" ]; do
        eval "name=\$IEXEC_INPUT_FILE_NAME_$number"
        echo "input $number: $name $(sha256sum < "$in/$name")"
        number=$((number + 1))
    done
    number=1
    while [ "$number" -le "${IEXEC_BULK_SLICE_SIZE:-0}" ]; do
        eval "name=\$IEXEC_DATASET_${number}_FILENAME"
        echo "bulk $number: $(sha256sum < "$in/$name")"
        number=$((number + 1))
    done
} > "$out/result.txt"

for word in "$@"; do
    value="${word#*=}"
    case "$word" in
        size=*) dd if=/dev/zero bs="$value" count=1 >> "$out/result.txt" 2> /dev/null ;;
        long-name) echo long > "$out/a-name-of-more-than-thirty-one-letters-x" ;;
        differ) echo "run: $(cat /proc/sys/kernel/random/uuid)" >> "$out/result.txt" ;;
        link) cd "$out" && /bin/busybox ln -s result.txt link ;;
        directory)
            mkdir -p "$out/result/deep"
            cat "$out/result.txt" > "$out/result/first"
            echo second > "$out/result/deep/second"
            ;;
    esac
done

if [ "$computed" = yes ]; then
    if [ -n "$callback" ]; then
        echo "{\"callback-data\": \"$callback\"}" > "$out/computed.json"
    else
        echo "{\"deterministic-output-path\": \"$path\"}" > "$out/computed.json"
    fi
fi
echo "done: $# argument(s)"
exit "$code"
