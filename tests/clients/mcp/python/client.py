"""The official Python client (PyPI `mcp`)."""

import asyncio
import json
import re
import sys

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import ElicitResult


async def watch(client: Client, task: dict, events: anyio.abc.ObjectReceiveStream) -> list:
    """Reads a resource whenever it is said to have changed, until it has what is waited for."""
    read = []

    async def has_it() -> bool:
        result = await client.read_resource(task["uri"])
        read.append(result.contents[0].text)
        return task["until"] in read[-1]

    if task["mode"] == "legacy":
        await client.subscribe_resource(task["uri"])
        print("subscribed", flush=True)
        while not await has_it():
            await events.receive()
        await client.unsubscribe_resource(task["uri"])
    else:
        async with client.listen(resource_subscriptions=[task["uri"]]) as subscription:
            print("subscribed", flush=True)
            async for _ in subscription:
                if await has_it():
                    break
    return read


async def main() -> None:
    task = json.load(sys.stdin)
    server = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    to, events = anyio.create_memory_object_stream(100)
    questions = []

    async def hear(message: object) -> None:
        if "ResourceUpdated" in type(getattr(message, "root", message)).__name__:
            to.send_nowait(message)

    async def say(context, params):
        questions.append(params.message)
        accepts = task["says"] == "accept"
        return ElicitResult(action=task["says"], content={} if accepts else None)

    async with Client(
        server,
        mode=task["mode"],
        read_timeout_seconds=60,
        message_handler=hear,
        elicitation_callback=say if task.get("says") else None,
    ) as client:
        said = {"protocolVersion": client.protocol_version, "questions": questions}
        tools = await client.list_tools()
        said["tools"] = [tool.name for tool in tools.tools]
        said["results"] = []
        plan = None
        for call in task.get("calls", []):
            if call["arguments"].get("plan") == "":
                call["arguments"]["plan"] = plan
            result = await client.call_tool(call["name"], call["arguments"])
            found = re.search(r'"plan": "([^"]+)"', result.content[0].text)
            plan = found[1] if found else plan
            said["results"].append({"isError": bool(result.is_error), "text": result.content[0].text})
        if "watch" in task:
            resources = await client.list_resources()
            said["resources"] = [str(resource.uri) for resource in resources.resources]
            templates = await client.list_resource_templates()
            said["templates"] = [template.uri_template for template in templates.resource_templates]
            said["read"] = await watch(client, {**task["watch"], "mode": task["mode"]}, events)
        print(json.dumps(said))


asyncio.run(main())
