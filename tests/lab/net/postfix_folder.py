"""What a Postfix in a folder of its own needs wherever it runs: in the lab and under bench/compare."""
import shutil

MAIN_CF = '''\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
mydestination =
smtpd_peername_lookup = no
virtual_mailbox_base = {folder}/mail
virtual_uid_maps = static:{owner.pw_uid}
virtual_gid_maps = static:{owner.pw_gid}
'''

MASTER_CF = '''\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n {wakeup} 1 qmgr
showq unix n - n - - showq
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
relay unix - - n - - smtp
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
'''


def make(folder, owner, main_cf, addresses, wakeup):
    """Listens at `addresses` and writes mailboxes as `owner` (of pwd). `wakeup`: seconds between the
    queue manager's looks at what waits."""
    for name in ('etc', 'queue', 'data'):
        (folder / name).mkdir(parents=True)
    shutil.chown(folder / 'data', 'postfix')
    (folder / 'etc/main.cf').write_text(MAIN_CF.format(folder=folder, owner=owner) + main_cf)
    services = ''.join(f'{address} inet n - n - - smtpd\n' for address in addresses)
    (folder / 'etc/master.cf').write_text(services + MASTER_CF.format(wakeup=wakeup))


def command(folder, *arguments):
    return ['/usr/sbin/postfix', '-c', str(folder / 'etc'), *arguments]
