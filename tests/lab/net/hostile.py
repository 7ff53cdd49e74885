"""A mail server that follows a script: what it does in each phase of a session.

A script maps a phase to what happens then:
    'connect' 'ehlo' 'mail' 'rcpt' 'data' 'text' 'dot' 'rset' 'quit'
to the bytes that are sent as the answer, or DROP (the connection ends), STALL (nothing is ever said),
or a function that is given the command and tells one of these, or a list of these, for the first time, the second, … (the last one stays). Phases that it doesn't
name go well. 'text' comes before the message is read, 'dot' after its end.
"""
import collections
import re
import socket
import threading

DROP, STALL = object(), object()
GOOD = {'connect': b'220 hostile.example ESMTP\r\n',
        'ehlo': b'250-hostile.example\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SIZE 0\r\n',
        'mail': b'250 2.1.0 ok\r\n', 'rcpt': b'250 2.1.5 ok\r\n', 'data': b'354 go on\r\n',
        'text': b'', 'dot': b'250 2.0.0 ok: queued as H0STILE\r\n', 'rset': b'250 2.0.0 ok\r\n',
        'quit': b'221 2.0.0 bye\r\n'}


class Dropped(Exception):
    pass


class Station:
    """Listens on ip:port until stop(). `sessions` counts connections; `messages` holds all whose end
    was read, acknowledged or not."""

    def __init__(self, ip, script, port=25):
        self.script = script
        self.sessions, self.stalled, self.messages = 0, 0, []
        self.times = collections.Counter()
        self.closing = threading.Event()
        self.listener = socket.create_server((ip, port), backlog=100)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _act(self, client, phase, line=b''):
        """Returns what was answered."""
        act = self.script.get(phase, GOOD[phase])
        if isinstance(act, list):
            act = act[min(self.times[phase], len(act) - 1)]
        self.times[phase] += 1
        if callable(act):
            act = act(line)
        if act is STALL:
            self.stalled += 1
            self.closing.wait()
        if act is DROP or act is STALL:
            raise Dropped
        client.sendall(act)
        return act

    def _serve(self, client):
        with client, client.makefile('rb') as lines:
            try:
                self._act(client, 'connect')
                while line := lines.readline(100000):
                    verb = re.match(rb'[a-z]*', line, re.I).group(0).decode().lower()
                    phase = {'helo': 'ehlo'}.get(verb, verb)
                    said = self._act(client, phase if phase in GOOD else 'rset', line)
                    if verb == 'data' and said.startswith(b'354'):
                        self._read_message(client, lines)
                    if verb == 'quit':
                        return
            except (Dropped, OSError):
                pass

    def _read_message(self, client, lines):
        if not str(self.script.get('data', b'354')).startswith("b'354"):
            return  # it was refused; what follows is commands again
        self._act(client, 'text')
        message = []
        while (line := lines.readline()) != b'.\r\n':
            if not line:
                raise Dropped
            message.append(line)
        self.messages.append(b''.join(message))
        self._act(client, 'dot')

    def stop(self):
        if self.closing.is_set():
            return
        self.closing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
