#!/bin/sh
# A filter in shell: it greets who says HELO or EHLO with his own name, and turns away who claims to be localhost.
while IFS='|' read -r kind what _ _ phase session token parameter; do
    case "$kind $what $phase" in
        "config ready "*)
            echo "register|filter|smtp-in|helo"
            echo "register|filter|smtp-in|ehlo"
            echo "register|ready" ;;
        filter*)
            case "$parameter" in
                localhost) echo "filter-result|$session|$token|reject|550 5.7.1 You are not me" ;;
                *) echo "filter-result|$session|$token|report|hello $parameter" ;;
            esac ;;
    esac
done
