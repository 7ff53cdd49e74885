"""Very many destinations at once of which nothing comes back, not even from their name servers."""
import contextlib
import socket

import lab
from net import hostile

DEAD, A_MESSAGE = 15000, 500
SHARE = 6144 * 3 // 4  # attempts at whom nothing is known of, for one sender, at most


@contextlib.contextmanager
def silent_name_server():
    """It takes each question and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        yield s.getsockname()[1]


def config(name_server, good, new):
    return (f'resolver: {{ servers: ["127.0.0.1@{name_server}"] }}\n'
            'trusted: [127.0.0.0/8]\nroutes:\n'
            f'  good.example: {{ to: ["smtp:127.0.0.1:{good}"] }}\n'
            f'  new.example: {{ to: ["smtp:127.0.0.1:{new}"] }}\n')


def attempts(server):
    """Under way, and ended in vain."""
    figures = server.figures('queue')
    return figures['active'], figures['attempts_deferred']


def send_to_the_dead(server):
    with server.smtp() as client:
        for first in range(0, DEAD, A_MESSAGE):
            client.sendmail('alice@postbuch.test',
                            [f'x@d{first + i}.example' for i in range(A_MESSAGE)],
                            'Subject: to nobody\r\n\r\nhello\r\n')


@contextlib.contextmanager
def station():
    """With the port it listens on."""
    started = hostile.Station('127.0.0.1', {}, port=lab.free_port())
    try:
        yield started, started.listener.getsockname()[1]
    finally:
        started.stop()


def test_who_has_answered_and_whom_another_sender_writes_to_are_served_at_once():
    with silent_name_server() as dns, station() as (good, port), station() as (new, new_port), \
            lab.Server(extra=config(dns, port, new_port)) as server:
        server.send('x@good.example', 'Subject: first\r\n\r\nhello\r\n')
        lab.eventually(lambda: len(good.messages) == 1, 'the first has come')
        send_to_the_dead(server)
        lab.eventually(lambda: attempts(server)[0] == SHARE, 'all that may go to them go')
        for i in range(20):
            server.send('x@good.example', f'Subject: {i}\r\n\r\nhello\r\n')
        server.send('x@new.example', 'Subject: new\r\n\r\nhello\r\n', 'bob@postbuch.test')
        lab.eventually(lambda: len(good.messages) == 21, 'the others have come')
        lab.eventually(lambda: len(new.messages) == 1, 'and that of another sender')
        under_way, in_vain = attempts(server)
        assert under_way <= SHARE
        # Their turn didn't come after the dead ones': of these many have not been tried yet.
        assert under_way + in_vain < DEAD
