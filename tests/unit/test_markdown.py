"""The plan as a comment: nothing that a manifest says may be more than text in it."""

import re
from dataclasses import replace

import pytest
from declared import SOURCES, labelled, observed, respecified, tenant, topic

from reconciler.planning.markdown import code, markdown
from reconciler.planning.plan import plan
from reconciler.state import Observed, Origin

VICIOUS = [
    "```\n</details>\n# owned",
    "````````",
    "</code><script>alert(1)</script>",
    "@everyone #1 https://evil.example [x](https://evil.example) ![x](y)",
    "a | b \\| c",
    "**bold** _it_ ~~no~~ <!-- -->",
    "\x1b[31m\u202e\r\n",
]


def outside_of_fences(text: str) -> str:
    """What Markdown reads as Markdown. A fence ends at a line of nothing but as many backticks as it began with."""
    kept, fence = [], ""
    for line in text.split("\n"):
        if fence:
            if re.fullmatch(r" {0,3}`{3,}\s*", line) and len(line.strip()) >= len(fence):
                fence = ""
        elif line.startswith("```"):
            fence = line[: -len(line.lstrip("`"))]
        else:
            kept.append(line)
    assert not fence
    return "\n".join(kept)


@pytest.mark.parametrize("value", VICIOUS)
def test_no_value_gets_out_of_its_place(value: str) -> None:
    orders = topic("orders")
    wanted = replace(labelled(respecified(orders, displayName=value), team=value), origin=Origin(f"{value}.yaml", 1))
    vicious = markdown(plan((tenant(), wanted), observed((tenant(), orders)), SOURCES), value)
    harmless = markdown(
        plan(
            (tenant(), labelled(respecified(orders, displayName="x"), team="x")), observed((tenant(), orders)), SOURCES
        )
    )
    places = re.compile("<code>[A-Za-z0-9 ./,&#;-]*</code>")
    assert places.sub("", outside_of_fences(vicious)) == places.sub("", outside_of_fences(harmless))


def test_a_fence_is_longer_than_any_run_of_backticks_in_it() -> None:
    """No line within can end it as it is; whoever renders it less strictly shall not find an end either."""
    found = plan((tenant(), respecified(topic("orders"), displayName="`" * 8)), observed((tenant(),)), SOURCES)
    assert "\n" + "`" * 9 + "text\n" in markdown(found)


def test_a_source_that_is_held_is_named_and_nothing_to_do_is_no_agreement() -> None:
    nothing = plan((tenant(),), observed((tenant(),)), SOURCES)
    assert markdown(nothing) == "**No changes. What is applied matches the manifests.**\n"
    text = markdown(nothing, held=["source 'shops' is suspended by ann"])
    assert text.startswith("**No changes while sources are held.**\n\n#### Held (1)\n\n- <code>source ")
    assert "suspended by ann" in text


def test_inline_code_reads_as_it_was() -> None:
    assert code("a/b.c-1") == "<code>a/b.c-1</code>"
    assert code("`|<@_") == "<code>&#96;&#124;&#60;&#64;&#95;</code>"


@pytest.mark.parametrize(("name", "listed"), [("x" * 20, 100), ("_" * 150, 20)])
def test_a_large_plan_fits_into_a_comment_and_says_what_it_leaves_out(name: str, listed: int) -> None:
    topics = [topic(f"t{number}-{name}") for number in range(2_000)]
    text = markdown(plan((tenant(), *topics), Observed({}), SOURCES))
    assert len(text) < 65_536
    assert text.startswith("**Plan: 2001 to create")
    assert f"| and {2_001 - listed} more | | |" in text
    assert re.search(r"… and \d+ more lines: mqops plan shows them", text)
