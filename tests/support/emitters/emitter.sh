#!/bin/sh
# A foreign service with nothing but curl: numbered events, each sent until it is accepted, in the short form.
# Usage: emitter.sh URL KEY PREFIX; prints one line of JSON for each event that was accepted. After SIGTERM it begins no
# other, and ends.
url=$1 key=$2 prefix=$3
ending=
trap 'ending=1' TERM
number=0
while [ -z "$ending" ]; do
  id="$prefix-$number"
  data="{\"user_id\":\"01890000-0000-7000-8000-$(printf %012d "$number")\",\"email\":\"curl$number@example.org\"}"
  until code=$(curl --silent --output /dev/null --write-out '%{http_code}' --max-time 5 "$url/v1/events" \
      --header "Authorization: Bearer $key" --header 'Content-Type: application/json' \
      --header "Idempotency-Key: $id" --data "{\"id\":\"$id\",\"type\":\"user.email_verified\",\"data\":$data}") \
      && [ "$code" = 202 ]; do
    case $code in 4[0-8]*) [ "$code" = 409 ] || { echo "refused: $code" >&2; exit 1; } ;; esac
    sleep 0.1
  done
  echo "{\"accepted\": [\"$id\"]}"
  number=$((number + 1))
  sleep 0.06
done
