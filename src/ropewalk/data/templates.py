"""The chat templates' Jinja text. What the model says stands between `generation` marks, other turns' texts between `other` marks.

They say what their public forms say; where those refuse a conversation (odd orders, a system turn), these go on.
"""

from __future__ import annotations

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% elif message['role'] == 'tool' %}{{ message['content'] + '<|im_end|>' }}"
    "{% else %}{% other %}{{ message['content'] + '<|im_end|>' }}{% endother %}{% endif %}"
    "{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + ('ipython' if message['role'] == 'tool' else message['role']) + '<|end_header_id|>\\n\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] | trim + '<|eot_id|>' }}{% endgeneration %}"
    "{% elif message['role'] == 'tool' %}{{ message['content'] | trim + '<|eot_id|>' }}"
    "{% else %}{% other %}{{ message['content'] | trim + '<|eot_id|>' }}{% endother %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)

MISTRAL = (
    "{% set rest = messages %}{% set head = '' %}"
    "{% if messages and messages[0]['role'] == 'system' %}{% set head = messages[0]['content'] + '\\n\\n' %}"
    "{% set rest = messages[1:] %}{% endif %}"
    "{{ bos_token }}{% for message in rest %}{% set first = head if loop.first else '' %}"
    "{% if loop.first and head and message['role'] == 'assistant' %}"
    "{{ ' [INST] ' }}{% other %}{{ head | trim }}{% endother %}{{ ' [/INST]' }}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ ' ' }}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% elif message['role'] == 'tool' %}{{ ' [TOOL_RESULTS] ' + first + message['content'] + ' [/TOOL_RESULTS]' }}"
    "{% else %}{{ ' [INST] ' }}{% other %}{{ first + message['content'] }}{% endother %}{{ ' [/INST]' }}{% endif %}{% endfor %}"
    "{% if head and not rest %}{{ ' [INST] ' }}{% other %}{{ head | trim }}{% endother %}{{ ' [/INST]' }}{% endif %}"
)

GEMMA = (
    "{% set rest = messages %}{% set head = '' %}"
    "{% if messages and messages[0]['role'] == 'system' %}{% set head = messages[0]['content'] | trim + '\\n\\n' %}"
    "{% if messages | length > 1 and messages[1]['role'] == 'user' %}{% set rest = messages[1:] %}{% else %}{% set head = '' %}{% endif %}"
    "{% endif %}"
    "{{ bos_token }}{% for message in rest %}{% set first = head if loop.first else '' %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] | trim + '<end_of_turn>' }}{% endgeneration %}"
    "{% elif message['role'] == 'tool' %}"
    "{{ '<tool_response>\\n' + message['content'] | trim + '\\n</tool_response>' + '<end_of_turn>' }}"
    "{% else %}{% other %}{{ first + message['content'] | trim + '<end_of_turn>' }}{% endother %}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)

ZEPHYR = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% elif message['role'] == 'tool' %}{{ message['content'] + eos_token }}"
    "{% else %}{% other %}{{ message['content'] + eos_token }}{% endother %}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)

ALPACA = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '### Response:\\n' }}"
    "{% generation %}{{ message['content'].strip() + eos_token }}{% endgeneration %}"
    "{% elif message['role'] == 'tool' %}{{ '### Input:\\n' + message['content'].strip() }}"
    "{% elif message['role'] == 'system' %}{% other %}{{ message['content'].strip() }}{% endother %}"
    "{% else %}{{ '### Instruction:\\n' }}{% other %}{{ message['content'].strip() }}{% endother %}{% endif %}"
    "{{ '\\n\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
)

PLAIN = (
    "{{ bos_token }}{% for message in messages %}{{ '' if loop.first else '\\n\\n' }}{{ '### ' + message['role'].capitalize() + ':\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% elif message['role'] == 'tool' %}{{ message['content'] }}"
    "{% else %}{% other %}{{ message['content'] }}{% endother %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\n### Assistant:\\n' if messages else '### Assistant:\\n' }}{% endif %}"
)

QWEN3 = r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}
        {%- other %}{{- messages[0].content }}{%- endother %}
        {{- '\n\n' }}
    {%- endif %}
    {{- "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\n' }}
        {%- other %}{{- messages[0].content + '<|im_end|>' }}{%- endother %}
        {{- '\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' }}
        {%- other %}{{- content + '<|im_end|>' }}{%- endother %}
        {{- '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\n') %}
            {%- endif %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\n' }}
        {%- generation %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if (loop.first and content) or (not loop.first) %}
                {{- '\n' }}
            {%- endif %}
            {%- if tool_call.function %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '<tool_call>\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {%- if tool_call.arguments is string %}
                {{- tool_call.arguments }}
            {%- else %}
                {{- tool_call.arguments | tojson }}
            {%- endif %}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' }}
        {{- content }}
        {{- '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"""  # noqa: E501

SOURCES = {
    "alpaca": ALPACA,
    "chatml": CHATML,
    "gemma": GEMMA,
    "llama3": LLAMA3,
    "mistral": MISTRAL,
    "plain": PLAIN,
    "qwen3": QWEN3,
    "zephyr": ZEPHYR,
}
CONTROLS: dict[str, tuple[str, ...]] = {
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "gemma": ("<start_of_turn>", "<end_of_turn>"),
    "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "qwen3": ("<|im_start|>", "<|im_end|>"),
}
"""The control tokens of a template besides BOS and EOS; the last one ends a turn."""
