#!/usr/bin/perl
# bytes.pl: damages one file of a repository at every byte and lets a command fetch something.
#
#     bytes.pl FILE DEST GOOD MASKS COMMAND...
#
# FILE is flipped at each byte with one mask after the other (MASKS: a list of numbers, or "turn": one bit,
# another one at each byte), cut at each length, and made longer.  After each the COMMAND runs; it must
# end with a status above 125 and leave nothing at DEST.  A line tells every time that it did not,
# and the last line how often it ran.  FILE is as before afterwards, and COMMAND must succeed then.
use strict;
use warnings;

my ($file, $dest, $good, $masks, @command) = @ARGV;
die "usage: bytes.pl FILE DEST GOOD MASKS COMMAND...\n" unless @command;

sub slurp {
    my ($path) = @_;
    open(my $f, '<:raw', $path) or return undef;
    local $/;
    return scalar <$f> // '';
}

my $whole = slurp($file) // die "bytes.pl: could not read \"$file\": $!\n";
my $wanted = slurp($good) // die "bytes.pl: could not read \"$good\": $!\n";
my ($runs, $wrong) = (0, 0);

sub put {
    my ($bytes) = @_;
    open(my $f, '>:raw', $file) or die "bytes.pl: could not write \"$file\": $!\n";
    print {$f} $bytes;
    close($f) or die "bytes.pl: could not write \"$file\": $!\n";
}

# The status of the command: a number, or "signal N".
sub command_status {
    my $pid = fork // die "bytes.pl: could not fork: $!\n";
    if ($pid == 0) {
        open(STDOUT, '>', '/dev/null');
        open(STDERR, '>', '/dev/null');
        exec(@command) or exit 127;
    }
    waitpid($pid, 0);
    return $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
}

sub try_one {
    my ($what, $bytes) = @_;
    return if $bytes eq $whole;
    put($bytes);
    unlink $dest;
    my $status = command_status();
    my $got = slurp($dest);
    $runs++;
    my $bad;
    if ($status =~ /signal/) { $bad = "dies by $status" }
    elsif ($status == 0) { $bad = defined $got && $got eq $wanted ? 'not detected' : 'false success' }
    elsif ($status <= 125) { $bad = "false end of WAL: exits with $status" }
    elsif (defined $got) { $bad = 'leaves a file at DEST' }
    if (defined $bad && ++$wrong <= 10) { print "$what: $bad\n" }
}

for my $at (0 .. length($whole) - 1) {
    for my $mask ($masks eq 'turn' ? 1 << $at % 8 : split ' ', $masks) {
        my $bytes = $whole;
        substr($bytes, $at, 1) = chr(ord(substr($whole, $at, 1)) ^ $mask);
        try_one("byte $at, mask $mask", $bytes);
    }
    try_one("cut at $at", substr($whole, 0, $at));
}
try_one('one byte more', "$whole\0");
try_one('twice', $whole . $whole);
try_one('zeros', "\0" x length $whole);
put($whole);
unlink $dest;
my $status = command_status();
print "whole: $status\n" if $status ne '0' || (slurp($dest) // '') ne $wanted;
print "runs $runs wrong $wrong\n";
