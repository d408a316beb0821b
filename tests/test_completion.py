"""What a shell offers after a part of a command."""

import subprocess
from shutil import which

import pytest

from stream import cli
from stream.completion import script

ASK = """
COMP_WORDS=({words} "") COMP_CWORD={count}
COMP_WORDS[$COMP_CWORD]="{begun}"
_cartwake
echo "${{COMPREPLY[*]}}"
"""


@pytest.mark.skipif(which("bash") is None, reason="no bash on the PATH to complete with")
@pytest.mark.parametrize(
    ("words", "begun", "offered"),
    [
        (["cartwake"], "w", "worker webhooks"),
        (["cartwake"], "ta", "tail"),
        (["cartwake", "topics"], "c", "create check"),
        (["cartwake", "dead-letters"], "", "-h --help --config list show replay"),
        (["cartwake", "dead-letters", "replay"], "--d", "--dry-run"),
        (["cartwake", "tail"], "--v", "--visitor"),
        (["cartwake", "completion"], "z", "zsh"),
        (["cartwake", "worker"], "--s", ""),
    ],
)
def test_bash_offers_what_may_follow(words, begun, offered):
    ask = ASK.format(words=" ".join(words), count=len(words), begun=begun)
    text = script(cli.parser(), "bash") + ask
    ran = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == offered


def test_zsh_gets_the_same_by_its_own_means(capsys):
    assert cli.main(["completion", "zsh"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "autoload -Uz bashcompinit && bashcompinit"
    assert "\n".join(lines[1:]) == script(cli.parser(), "bash")
