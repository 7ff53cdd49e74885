"""Findings that were dealt with are ticked off, for good, and by whom and why is in the book."""
import json
import os
import shutil

import lab
from test_audit import audit, block_mailbox, wait_for_deferral
from test_book import send_traced


def acknowledge(server, *what, reason='the disk was replaced'):
    done = server.command('audit', '--acknowledge', *what, '--reason', reason, '--json', check=False)
    told = json.loads(done.stdout) if done.stdout else None
    return done.returncode, told, done.stderr.decode()


def damage(server, text):
    for log in (server.folder / 'spool').glob('log-*'):
        at = log.read_bytes().find(text)
        if at >= 0:
            with open(log, 'r+b') as f:
                f.seek(at)
                f.write(b'#')


def booked(server):
    return [f for f in audit(server)['findings'] if f['file'].startswith('book')]


def test_dealt_with_damage_is_ticked_off(server):
    block_mailbox(server)
    ids = [send_traced(server, b'Subject: x\r\n\r\nwords %d to be found\r\n' % n)[1] for n in range(2)]
    for queue_id in ids:
        wait_for_deferral(server, queue_id)
    server.stop()
    code, told, complaint = acknowledge(server, 'all', '--yes')
    assert code == 75 and not told and "isn't running" in complaint, 'only a running server can book it'
    for n in range(2):
        damage(server, b'words %d to be found' % n)
    server.start()
    lab.eventually(lambda: len(booked(server)) == 2, 'the damage is booked')

    # Set aside it still is in the queue: that is no matter of the past.
    code, told, complaint = acknowledge(server, ids[0])
    assert code == 1 and told['acknowledged'] == 1 and "can't be acknowledged" in complaint, (told, complaint)
    for queue_id in ids:
        server.command('queue', 'remove', queue_id)
    server.kill_all() # what was acknowledged is on the disk
    server.start()
    finding, = lab.eventually(lambda: (f := audit(server)['findings']) and len(f) == 1 and f, 'one is left')
    assert finding['id'] == ids[1] and finding['token'] and 'words' not in finding['text']
    assert acknowledge(server, ids[0])[0] == 1, 'nothing is off there any more'
    code, told, complaint = acknowledge(server, finding['token'], reason='its sender was asked to send it again')
    assert code == 0 and told['ok'] and told['acknowledged'] == 1, complaint

    told = audit(server, '--acknowledged')
    assert told['ok'] and told['acknowledged'] == 2
    by = {f['id']: f['acknowledged'] for f in told['acknowledged_findings']}
    assert by[ids[0]]['reason'] == 'the disk was replaced'
    assert by[ids[1]]['reason'] == 'its sender was asked to send it again' and by[ids[1]]['uid'] == os.getuid()
    assert b'2 things that were off are acknowledged' in server.command('audit').stdout
    events = server.trace(ids[1])[0]['recipients'][0]['events']
    event, = (e for e in events if e['kind'] == 'acknowledged')
    assert event['uid'] == os.getuid() and event['reply'] == 'its sender was asked to send it again'
    assert f'by uid {os.getuid()}' in server.command('trace', ids[1]).stdout.decode()


def test_who_was_lost_is_booked_as_lost(server):
    block_mailbox(server)
    ids = [send_traced(server)[1] for _ in range(3)]
    for queue_id in ids:
        wait_for_deferral(server, queue_id)
    server.stop()
    shutil.rmtree(server.folder / 'spool')
    server.allowed.append('ALARM: by the book')
    server.start()
    assert {f['id'] for f in audit(server)['findings']} == set(ids)
    _, waiting = send_traced(server)
    wait_for_deferral(server, waiting)
    assert server.command('audit', '--acknowledge', 'all', '--reason', 'x', stdin=b'y\n',
                          check=False).returncode == 2, 'nobody can be asked'
    code, told, complaint = acknowledge(server, 'all', '--yes')
    assert code == 0 and told['acknowledged'] == 3, complaint
    told = audit(server)
    assert told['ok'] and told['lost'] == told['acknowledged'] == 3 and told['waiting'] == 1
    assert server.trace(ids[0])[0]['recipients'][0]['state'] == 'lost'
    assert b'Lost: it waited here' in server.command('trace', ids[0]).stdout
    alarms = server.log().count('ALARM: by the book')
    server.restart()
    assert audit(server)['ok']
    assert server.log().count('ALARM: by the book') == alarms
