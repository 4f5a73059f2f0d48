// A foreign service in Node, as somebody outside would write it: numbered events, each sent until it is accepted.
// Usage: node emitter.mjs URL KEY; prints one line of JSON for each event or batch that was accepted. After SIGTERM it
// begins no other, and ends.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const [url, key] = process.argv.slice(2);
const BATCH = 5;
let isEnding = false;
process.once("SIGTERM", () => {
  isEnding = true;
});

function event(number) {
  return {
    specversion: "1.0",
    id: randomUUID(),
    source: "/node",
    type: "user.email_verified",
    data: { user_id: randomUUID(), email: `user${number}@example.org` },
  };
}

async function send(path, type, body) {
  const headers = { authorization: `Bearer ${key}`, "content-type": type, "idempotency-key": randomUUID() };
  for (;;) {
    try {
      const signal = AbortSignal.timeout(5000);
      const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body), signal });
      const said = await answer.json();
      if (answer.status === 202) return said;
      if (answer.status !== 409 && answer.status < 500) throw new Error(`refused: ${JSON.stringify(said)}`);
    } catch (error) {
      if (error.message.startsWith("refused")) throw error;
    }
    await sleep(100);
  }
}

for (let number = 0; !isEnding; number += 1) {
  if (number % 2) {
    const events = Array.from({ length: BATCH }, () => event(number));
    const said = await send("/v1/events:batch", "application/cloudevents-batch+json", events);
    console.log(JSON.stringify({ accepted: said.events.map((each) => each.event_id) }));
  } else {
    const said = await send("/v1/events", "application/cloudevents+json", event(number));
    console.log(JSON.stringify({ accepted: [said.event_id] }));
  }
  await sleep(60);
}
