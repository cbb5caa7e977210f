"""The official Python client (PyPI `mcp`)."""

import asyncio
import json
import sys

from mcp import Client
from mcp.client.stdio import StdioServerParameters


async def main() -> None:
    task = json.load(sys.stdin)
    server = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    async with Client(server, mode=task["mode"], read_timeout_seconds=60) as client:
        tools = await client.list_tools()
        results = []
        for call in task["calls"]:
            result = await client.call_tool(call["name"], call["arguments"])
            results.append({"isError": bool(result.is_error), "text": result.content[0].text})
        print(
            json.dumps(
                {
                    "protocolVersion": client.protocol_version,
                    "tools": [tool.name for tool in tools.tools],
                    "results": results,
                }
            )
        )


asyncio.run(main())
