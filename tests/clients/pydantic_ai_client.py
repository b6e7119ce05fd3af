"""An agent of pydantic-ai with two tools and a structured result, run to its end against a server at EDGECALL_URL."""

import os

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits


class Plan(BaseModel):
    city: str
    guests: int


called = []
model = OpenAIChatModel("pocket", provider=OpenAIProvider(base_url=os.environ["EDGECALL_URL"], api_key="none"))
agent = Agent(model, output_type=Plan, retries=3)


@agent.tool_plain
def find_restaurant(city: str, cuisine: str) -> str:
    """Find a restaurant in a city."""
    called.append("find_restaurant")
    return "Bangkok Garden"


@agent.tool_plain
def weather(city: str) -> str:
    """Tell the weather in a city."""
    called.append("weather")
    return "sunny"


# The pocket model need not choose well, but everything that it writes must be taken: a call of a tool, or the result.
try:
    result = agent.run_sync("Thai food in San Jose for two, please", usage_limits=UsageLimits(request_limit=8))
    assert isinstance(result.output, Plan), result
    print(f"  the agent ended with {result.output!r} after {called}")
except Exception as error:
    if type(error).__name__ != "UsageLimitExceeded":
        raise
    assert called, error
    print(f"  the agent called {called} until its limit")
