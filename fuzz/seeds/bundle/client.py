from openai import OpenAI

SYSTEM_PROMPT = [{"role": "system", "content": f"""Book tables.
Never \"guess\" {{names}}.
"""}]
TOOLS = [{'type': 'function', 'function': {'name': 'book', 'parameters': {'type': 'object', 'properties': {'time': {'type': 'string'}}}}}]

class Client(object):
    def invoke(self, history):
        return self.client.chat.completions.create(
            model=self.model_name, messages=SYSTEM_PROMPT + history, temperature=0, tools=TOOLS,
            tool_choice="required", max_tokens=256, stop=["x"],
            extra_body={"chat_template_kwargs": {"enable_thinking": False}},
        )
