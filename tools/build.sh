# What ./sandbox and ./test share: prerequisites and the native build. Sourced with $root set to the repository.

native=$root/build/bin
stamp=$root/build/stamp

say() { printf 'sandbox: %s\n' "$*" >&2; }

# One line on stderr and the status that means "the sandbox itself failed".
die() { say "$@"; exit 125; }

# False when a source, a project, or a folder that files came to or went from is newer than the last build.
native_is_current() {
    [[ -x $native/sandbox && -x $native/sandbox-vmm && -x $native/sandbox-agent && -e $stamp ]] || return 1
    local newer
    newer=$(find "$root/src" "$root/policies" "$root/Directory.Build.props" "$root/Directory.Packages.props" "$root/global.json" \
        \( -name bin -o -name obj \) -prune -o -newer "$stamp" -print -quit)
    [[ -z $newer ]]
}

require_sdk() {
    export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_CLI_UI_LANGUAGE=en
    # The SDK keeps its first-run marks and packages here when there is no home to keep them in.
    [[ -n ${HOME-} && -w $HOME ]] || export DOTNET_CLI_HOME=$root/build/home
    if ! command -v dotnet >/dev/null && [[ -x ${HOME-}/.dotnet/dotnet ]]; then
        PATH=$HOME/.dotnet:$PATH
    fi
    local how='install it as https://learn.microsoft.com/dotnet/core/install/linux says, then try again'
    command -v dotnet >/dev/null || die "the .NET 10 SDK is missing; $how"
    local version
    version=$(cd "$root" && dotnet --version 2>/dev/null) \
        || die "the .NET 10 SDK is missing (found: $(dotnet --list-sdks 2>/dev/null | cut -d' ' -f1 | paste -sd' ')); $how"
    [[ $version == 10.* ]] || die "the .NET 10 SDK is needed, but dotnet is version $version; $how"
}

# require_packages 'package: what for'...: installs the Debian packages that are missing, after saying which and why.
require_packages() {
    local entry missing=()
    for entry in "$@"; do
        dpkg-query -W -f='${Status}' "${entry%%:*}" 2>/dev/null | grep -q ' installed$' && continue
        missing+=("${entry%%:*}")
        say "needs the Debian package ${entry%%:*}:${entry#*:}"
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || die "apt-get is not here; install what these packages hold, then try again"
    local as_root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || die "run as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing ${missing[*]} ..."
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" </dev/null >&2 \
        || { "${as_root[@]}" apt-get update >&2 \
            && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" </dev/null >&2; } \
        || die "installing failed; run as root: apt-get install ${missing[*]}"
}

# Publishes one program; its messages appear only if something is wrong. The analyzers, which take longer than all the rest of
# compiling, look at the same sources when ./test builds them; what the native compiler warns of is an error here as well.
publish() {
    local project=$1 log=$root/build/publish.log
    dotnet publish "$root/src/$project" -c Release -p:RunAnalyzers=false -v minimal --disable-build-servers \
        -o "$root/build/publish/$project" >"$log" 2>&1 </dev/null \
        || { cat "$log" >&2; die "building src/$project failed; its messages are above"; }
}

build_native() {
    mkdir -p "$root/build"
    # Two calls at once build once: the second waits here and then finds everything current.
    exec 9>"$root/build/lock"
    flock -n 9 || { say "another build is running; waiting for it ..."; flock 9; }
    if ! native_is_current; then
        require_sdk
        # A compiler that is there already serves as well as Debian's.
        if ! command -v gcc >/dev/null && ! command -v clang >/dev/null; then
            require_packages 'gcc: links the native programs' 'libc6-dev: the C library they are linked with'
        fi
        require_packages 'libseccomp2: the VMM'"'"'s system-call filters are made with it'
        # Their appearing later would make their folders look changed.
        local project
        for project in "$root"/src/*/*.csproj "$root"/src/*/*/*.csproj; do
            [[ -e $project ]] && mkdir -p "${project%/*}/bin" "${project%/*}/obj"
        done
        touch "$stamp.new"
        say "building the native programs (a minute or two, only after changes): 1 of 3 ..."
        publish Supervisor
        say "building the native programs: 2 of 3 ..."
        publish Vmm
        say "building the native programs: 3 of 3 ..."
        publish Agent
        mkdir -p "$native"
        # Renamed into place: a program that is running keeps its own file.
        local program
        for program in Supervisor/sandbox Vmm/sandbox-vmm Agent/sandbox-agent; do
            cp "$root/build/publish/$program" "$native/${program#*/}.new"
            mv "$native/${program#*/}.new" "$native/${program#*/}"
        done
        mv "$stamp.new" "$stamp"
        say "built."
    fi
    exec 9>&-
}
