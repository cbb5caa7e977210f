// The official TypeScript client (npm `@modelcontextprotocol/client`).

import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

let input = '';
for await (const chunk of process.stdin) input += chunk;
const task = JSON.parse(input);
const mode = task.mode === 'legacy' ? 'legacy' : { pin: task.mode };
const questions = [];
const capabilities = task.says ? { elicitation: {} } : {};
const client = new Client({ name: 'test', version: '1' }, { capabilities, versionNegotiation: { mode } });
if (task.says) {
  client.setRequestHandler('elicitation/create', async (request) => {
    questions.push(request.params.message);
    return task.says === 'accept' ? { action: 'accept', content: {} } : { action: task.says };
  });
}
const [command, ...args] = process.argv.slice(2);
await client.connect(new StdioClientTransport({ command, args, env: process.env }));
const { tools } = await client.listTools();
const results = [];
let plan;
for (const call of task.calls) {
  if (call.arguments.plan === '') call.arguments.plan = plan;
  const result = await client.callTool({ name: call.name, arguments: call.arguments });
  plan = /"plan": "([^"]+)"/.exec(result.content[0].text)?.[1] ?? plan;
  results.push({ isError: result.isError ?? false, text: result.content[0].text });
}
console.log(
  JSON.stringify({
    protocolVersion: client.getNegotiatedProtocolVersion(),
    tools: tools.map((tool) => tool.name),
    results,
    questions,
  }),
);
await client.close();
