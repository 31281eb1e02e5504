// Reads [{secret, headers, body}, …] and says of each delivery "verified" or why not.
import { Webhook } from "standardwebhooks";

function judge({ secret, headers, body }) {
  try {
    new Webhook(secret).verify(body, headers);
    return "verified";
  } catch (error) {
    return error.message;
  }
}

let text = "";
for await (const piece of process.stdin) text += piece;
process.stdout.write(JSON.stringify(JSON.parse(text).map(judge)));
