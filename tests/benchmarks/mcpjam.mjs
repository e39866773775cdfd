// Run each prompt of a prompts file once with MCPJam's SDK:
// `node mcpjam.mjs PROMPTS URL PYTHON SERVER CONCURRENCY`. It must lie beside the SDK's `node_modules`.

import { readFileSync } from "node:fs";
import { EvalTest, HostRunner, MCPClientManager } from "@mcpjam/sdk";

const MODEL = "claude-sonnet-5-5";

const [file, url, python, server, concurrency] = process.argv.slice(2);
const prompts = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line).prompt);

const manager = new MCPClientManager();
await manager.connectToServer("adder", { command: python, args: [server] });
const runner = new HostRunner({
  tools: await manager.getToolsForAiSdk(["adder"]),
  model: `stub/${MODEL}`,
  apiKey: "none-at-all",
  customProviders: {
    stub: { name: "stub", protocol: "anthropic-compatible", baseUrl: `${url}/v1`, modelIds: [MODEL] },
  },
});

let next = 0;
const test = new EvalTest({
  name: "adder",
  test: async (conversation) => (await conversation.run(prompts[next++])).hasToolCall("add"),
});
await test.run(runner, { iterations: prompts.length, concurrency: Number(concurrency) });
await manager.disconnectServer("adder");
if (test.accuracy() !== 1) throw new Error(`${test.accuracy()} of the conversations called the tool`);
