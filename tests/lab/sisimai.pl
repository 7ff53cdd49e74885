# Prints what Sisimai, a reader of reports that others wrote, makes of the mails in a folder, as JSON.
use strict;
use warnings;
use Sisimai;

print Sisimai->dump($ARGV[0], 'delivered' => 1) // '[]';
