"""Nested dictionaries written as libconfig text."""


def merged(base, changes):
    """`base` with `changes` laid over it, group by group; None removes a setting."""
    result = dict(base)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result


def value_text(value, depth):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 31 else f"{value}L"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (list, tuple)):
        return "( " + ", ".join(value_text(item, depth) for item in value) + " )"
    inner = group_text(value, depth + 1)
    return "{\n" + inner + "\t" * depth + "}"


def group_text(group, depth=0):
    return "".join("\t" * depth + f"{name} = {value_text(value, depth)};\n" for name, value in group.items())
