#!/usr/bin/env bash
# What is to be known of a GPU, within ten minutes behind the build: whether every kernel is right there, whether models compute
# what the reference does, how fast they are, and what a token asks of the adapter.
#
#     benches/gpu.sh [--small] [--device wgpu:1] [FILE]
#
# writes the section for docs/benchmarks.md to FILE (target/gpu.md). --small tries the script where a CPU emulates the adapter.
set -uo pipefail
cd "$(dirname "$0")/.."

device=wgpu out=target/gpu.md small=
while [ $# -gt 0 ]; do
    case "$1" in
        --small) small=yes ;;
        --device) device="${2:?a device, as in: glass devices}"; shift ;;
        -*) echo "gpu.sh: no option $1" >&2; exit 2 ;;
        *) out="$1" ;;
    esac
    shift
done

cargo=${CARGO:-cargo}
# A missing adapter fails the tests instead of skipping them.
export GLASS_REQUIRE_WGPU=1
tests=(-p glass-backend)
[ -n "$small" ] || tests+=(-p glass-bench -p glass-eval)
$cargo build --release --bin glass || exit 1
$cargo test --release "${tests[@]}" --no-run || exit 1
glass="${CARGO_TARGET_DIR:-target}/release/glass"

if [ -n "$small" ]; then
    models=("") dtypes=f32,q8 prompts=32 depths=0 rounds=(--gen 4 --repeat 1) filter=kernel_set::tests::rotate limit=900
else
    models=("--preset llama-40M" "--preset smollm2-135M") dtypes=f32,f16,bf16,q8,q4 prompts=512 depths=0,2048,7000
    rounds=(--gen 64 --repeat 3 --row-seconds 4) filter= limit=140
fi

adapter="$("$glass" devices | grep -m1 "^$device")"

mkdir -p "$(dirname "$out")"
log="$(mktemp)"
failed=0
{
    echo "## On $(sed 's/^[^ ]* *//; s/: API.*//' <<<"$adapter")"
    echo
    echo "$(date +%F), \`benches/gpu.sh${small:+ --small}\`. Random weights."
    echo
    if timeout 300 $cargo test --release "${tests[@]}" -- $filter >"$log" 2>&1; then
        echo "Tests on the adapter: $(grep -c ' \.\.\. ok$' "$log") passed, none failed."
    else
        failed=1
        echo "Tests on the adapter FAILED or took more than five minutes:"
        echo
        grep -E ' \.\.\. FAILED$|^error|panicked at' "$log" | head -20 | sed 's/^/    /'
    fi
    for model in "${models[@]}"; do
        command="bench $model --device $device --dtype $dtypes --prompt $prompts --depth $depths ${rounds[*]}"
        echo
        echo "    glass $command" | tr -s ' ' | sed 's/^ /    /'
        echo
        # shellcheck disable=SC2086
        timeout $limit "$glass" $command --format md 2>>"$log" || { failed=1; echo "(It ended with an error, or was stopped after $limit seconds.)"; }
    done
} >"$out"
tail -3 "$log" >&2
rm -f "$log"
echo "written to $out" >&2
exit $failed
