"""The official Python client (PyPI `mcp`)."""

import asyncio
import json
import re
import sys

from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import ElicitResult


async def main() -> None:
    task = json.load(sys.stdin)
    server = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    questions = []

    async def say(context, params):
        questions.append(params.message)
        accepts = task["says"] == "accept"
        return ElicitResult(action=task["says"], content={} if accepts else None)

    elicitation = say if task.get("says") else None
    async with Client(
        server, mode=task["mode"], read_timeout_seconds=60, elicitation_callback=elicitation
    ) as client:
        tools = await client.list_tools()
        results = []
        plan = None
        for call in task["calls"]:
            if call["arguments"].get("plan") == "":
                call["arguments"]["plan"] = plan
            result = await client.call_tool(call["name"], call["arguments"])
            found = re.search(r'"plan": "([^"]+)"', result.content[0].text)
            plan = found[1] if found else plan
            results.append({"isError": bool(result.is_error), "text": result.content[0].text})
        print(
            json.dumps(
                {
                    "protocolVersion": client.protocol_version,
                    "tools": [tool.name for tool in tools.tools],
                    "results": results,
                    "questions": questions,
                }
            )
        )


asyncio.run(main())
