#!/bin/sh
# Builds the contracts, compares the artifacts with the committed ones, and runs the Foundry tests.
set -eu
cd "$(dirname "$0")"
npm ci --no-progress --loglevel=error
PATH="$PWD/node_modules/@foundry-rs/forge-linux-amd64/bin:$PATH"
export PATH FOUNDRY_DISABLE_NIGHTLY_WARNING=1

node build.mjs
git diff --exit-code -- artifacts || { echo "artifacts are not those of the sources: run 'node build.mjs'" >&2; exit 1; }
test -z "$(git ls-files --others --exclude-standard -- artifacts)" || { echo "artifacts that are not committed" >&2; exit 1; }
forge fmt --check
log=$(mktemp)
trap 'rm -f "$log"' EXIT
forge test >"$log" 2>&1 || { cat "$log"; exit 1; }
node same-bytecode.mjs
git diff --exit-code -- snapshots || { echo "gas changed: look at it, then commit snapshots/" >&2; exit 1; }
grep -E '^\[PASS\] (test_|testFuzz_)' "$log" | wc -l | xargs echo "concrete and fuzz tests passed:"
grep -E '^\[PASS\] invariant_' "$log" | wc -l | xargs echo "invariant tests passed:"
grep -E '^ *skipped' "$log" || true
grep -E "^Ran [0-9]+ test suites" "$log"
cat snapshots/gas.json
