// The official TypeScript client (npm `@modelcontextprotocol/client`).

import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

let input = '';
for await (const chunk of process.stdin) input += chunk;
const task = JSON.parse(input);
const mode = task.mode === 'legacy' ? 'legacy' : { pin: task.mode };
const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode } });
const [command, ...args] = process.argv.slice(2);
await client.connect(new StdioClientTransport({ command, args, env: process.env }));
const { tools } = await client.listTools();
const results = [];
for (const call of task.calls) {
  const result = await client.callTool({ name: call.name, arguments: call.arguments });
  results.push({ isError: result.isError ?? false, text: result.content[0].text });
}
console.log(
  JSON.stringify({
    protocolVersion: client.getNegotiatedProtocolVersion(),
    tools: tools.map((tool) => tool.name),
    results,
  }),
);
await client.close();
