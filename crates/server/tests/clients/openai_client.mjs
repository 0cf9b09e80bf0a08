// The openai client for Node against a server: node openai_client.mjs http://127.0.0.1:8080
// GLASS_CLIENTS_NODE names the folder with node_modules.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(process.env.GLASS_CLIENTS_NODE + "/");
const OpenAI = require("openai");
const client = new OpenAI({ baseURL: process.argv[2] + "/v1/", apiKey: "nobody asks for this one", maxRetries: 0 });
const same = { model: "tiny", messages: [{ role: "user", content: "Say something." }], seed: 7, max_tokens: 24 };

assert.equal((await client.models.list()).data[0].id, "tiny");
const whole = await client.chat.completions.create(same);
let text = "", usage = null;
for await (const chunk of await client.chat.completions.create({ ...same, stream: true, stream_options: { include_usage: true } })) {
  text += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, whole.choices[0].message.content);
assert.equal(usage.completion_tokens, whole.usage.completion_tokens);

const schema = { type: "object", properties: { city: { enum: ["Rome", "Oslo"] } }, required: ["city"], additionalProperties: false };
const forced = { ...same, max_tokens: 100, tool_choice: "required", tools: [{ type: "function", function: { name: "weather", parameters: schema } }] };
const streamed = await client.chat.completions.stream(forced).finalChatCompletion();
assert.equal(streamed.choices[0].finish_reason, "tool_calls");
assert.ok(["Rome", "Oslo"].includes(JSON.parse(streamed.choices[0].message.tool_calls[0].function.arguments).city));
const form = { type: "json_schema", json_schema: { name: "place", schema, strict: true } };
const held = await client.chat.completions.create({ ...same, max_tokens: 100, response_format: form });
assert.ok(["Rome", "Oslo"].includes(JSON.parse(held.choices[0].message.content).city));

const vector = (await client.embeddings.create({ model: "tiny", input: "Once" })).data[0].embedding;
assert.equal(vector.length, 64);
const response = await client.responses.create({ model: "tiny", input: "Say something.", max_output_tokens: 16 });
assert.ok(["completed", "incomplete"].includes(response.status));

await assert.rejects(client.chat.completions.create({ ...same, model: "other" }), OpenAI.NotFoundError);
await assert.rejects(client.chat.completions.create({ ...same, top_p: 3 }), error => error.param === "top_p");

// Who leaves in the middle.
const stream = await client.chat.completions.create({ ...same, max_tokens: 900, stream: true, ignore_eos: true });
for await (const _ of stream) break;
console.log("openai for Node is served");
