#!/bin/sh
# Runs the tests and writes JUnit XML: ci/junit.sh reports/junit.xml [arguments of cargo test]
# Stable Rust prints its results for people only; this reads that text. It exits as cargo test does.
set -u
out=$1
shift
mkdir -p "$(dirname "$out")"
log=$out.log
cargo test --no-fail-fast "$@" >"$log" 2>&1
code=$?
cat "$log"

awk '
function escape(text) {
    gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text); gsub(/"/, "\\&quot;", text)
    gsub(/[\001-\010\013\014\016-\037]/, "?", text)
    return text
}
/^ +Running / { suite = $0; sub(/^ +Running /, "", suite); sub(/ \(.*$/, "", suite); sub(/^unittests /, "", suite) }
/^ +Doc-tests / { suite = "doc-tests" }
/^test .* \.\.\. (ok|FAILED|ignored)/ {
    name = $0; sub(/^test /, "", name); sub(/ \.\.\. .*$/, "", name)
    result = $0; sub(/^.* \.\.\. /, "", result)
    n++; suites[n] = suite; names[n] = name; results[n] = result
    if (result ~ /^FAILED/) failed++
    if (result ~ /^ignored/) skipped++
}
/^---- .* stdout ----$/ { key = $0; sub(/^---- /, "", key); sub(/ stdout ----$/, "", key); key = suite SUBSEP key; reading = 1; next }
/^(failures:|test result:)/ { reading = 0 }
reading { text[key] = text[key] escape($0) "\n" }
END {
    print "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
    printf "<testsuites><testsuite name=\"cargo test\" tests=\"%d\" failures=\"%d\" skipped=\"%d\">\n", n, failed, skipped
    for (i = 1; i <= n; i++) {
        printf "  <testcase classname=\"%s\" name=\"%s\"", escape(suites[i]), escape(names[i])
        if (results[i] ~ /^FAILED/) printf "><failure message=\"failed\">%s</failure></testcase>\n", text[suites[i], names[i]]
        else if (results[i] ~ /^ignored/) print "><skipped/></testcase>"
        else print "/>"
    }
    print "</testsuite></testsuites>"
}' "$log" >"$out"
rm -f "$log"
exit "$code"
