#!/bin/sh
# A filter that refuses recipients called "nobody". What it writes to standard error is its container's log.
while IFS='|' read -r kind what _ _ _ session token address; do
    case "$kind $what" in
        "config ready")
            echo "register|filter|smtp-in|rcpt-to"
            echo "register|ready" ;;
        filter*)
            case "$address" in
                nobody@*)
                    echo "somebody wrote to $address" >&2
                    echo "filter-result|$session|$token|reject|550 5.1.1 Nobody is here" ;;
                *) echo "filter-result|$session|$token|proceed" ;;
            esac ;;
    esac
done
