# Source: what the checks share: which files there are, their text without comments, and the frame
# of a check with its negative self-test.
package Source;
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);

our $TOP = dirname(__FILE__) . '/../..';
my @PROGRAMS = qw(archive_cmd restore_cmd basebackup catalog);

sub programs { return @PROGRAMS }

# Product sources and headers below $root, as paths relative to it.
sub product {
    my ($root) = @_;
    return map { substr($_, length($root) + 1) }
        sort map { glob("$root/$_/*.[ch]") } ('lib/*', @PROGRAMS);
}

sub tests {
    my ($root) = @_;
    return map { substr($_, length($root) + 1) } sort glob("$root/tests/*/*.[ch] $root/bench/*.[ch]");
}

sub slurp {
    my ($path) = @_;
    open(my $f, '<', $path) or die "could not open \"$path\": $!\n";
    local $/;
    return scalar <$f>;
}

# The text with comments blanked and, unless $keep_strings, the insides of literals too.  Lines keep
# their numbers.
sub code {
    my ($text, $keep_strings) = @_;
    $text =~ s{(/\*.*?\*/|//[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')}{
        my ($comment, $literal) = ($1, $2);
        if (defined $comment) { $comment =~ s/[^\n]/ /g; $comment }
        elsif ($keep_strings) { $literal }
        else { substr($literal, 0, 1) . substr($literal, 0, 1) }
    }gsex;
    return $text;
}

# Writes files (path => text) below a new directory, which is removed at exit.
sub plant {
    my (%files) = @_;
    my $dir = tempdir(CLEANUP => 1);
    for my $path (keys %files) {
        make_path(dirname("$dir/$path"));
        open(my $f, '>', "$dir/$path") or die "could not make \"$path\": $!\n";
        print $f $files{$path};
        close($f) or die "could not write \"$path\": $!\n";
    }
    return $dir;
}

# Runs a check: first on planted trees, each of which must give exactly the finding that its pattern
# describes (or none when it is ''), then on the tree itself.  $find->($root) returns findings.
sub run_check {
    my ($name, $find, @planted) = @_;
    my $failed = 0;
    for my $case (@planted) {
        my ($pattern, %files) = @$case;
        my @found = $find->(plant(%files));
        my $right = $pattern eq '' ? @found == 0 : (@found == 1 && $found[0] =~ /$pattern/);
        next if $right;
        $failed = 1;
        print "$name: self-test: wanted " . ($pattern eq '' ? 'no finding' : "one like /$pattern/")
            . ', got: ' . (join('; ', @found) || 'nothing') . "\n";
    }
    my @found = $find->($TOP);
    print map { "$name: $_\n" } @found;
    exit 1 if @found || $failed;
    print "$name: ok (" . scalar(@planted) . " planted cases told apart)\n";
    exit 0;
}

1;
