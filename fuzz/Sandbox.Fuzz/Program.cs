using System.Globalization;
using Sandbox.Fuzz;
using Sandbox.Fuzz.Engine;

CoverageMap coverage = CoverageMap.Installed;

return args switch
{
    ["worker", var name, var root, var journal, var seed, var seconds] => SmallStack.Run(() => Commands.With(name, target =>
        new Worker(target, CampaignPaths.For(root, name), journal, ulong.Parse(seed, CultureInfo.InvariantCulture), coverage)
            .Run(TimeSpan.FromSeconds(double.Parse(seconds, CultureInfo.InvariantCulture))))),
    ["site", var name, var file] => SmallStack.Run(() => Commands.With(name, target => Replay.Site(target, file, coverage))),
    ["corpus", var name, var root] => SmallStack.Run(() => Commands.With(name, target => Replay.Corpus(target, CampaignPaths.For(root, name), coverage))),
    ["lines", var root, var folders, .. var rest] => SmallStack.Run(() => LineCoverage.Report(root, folders, rest)),
    ["afl", var name] => SmallStack.Run(() => Commands.With(name, target => Commands.Afl(target, coverage))),
    _ => Commands.Run(args),
};
