namespace Sandbox.Supervisor.Metrics;

/// <summary>The types of OpenMetrics 1.0 that are used here.</summary>
enum MetricType
{
    /// <summary>Only grows while the sandbox lives.</summary>
    Counter,
    Gauge,

    /// <summary>A count and a sum; without quantiles.</summary>
    Summary,

    /// <summary>Labels that say what something is; always 1.</summary>
    Info,

    /// <summary>One of several states is 1, the others 0.</summary>
    StateSet,
}

/// <summary>Metrics of one name.</summary>
/// <param name="Name">Without the suffixes that the type adds; ends in the unit.</param>
/// <param name="Unit">Of its base unit: seconds or bytes; empty for what has none.</param>
/// <param name="Help">One line.</param>
/// <param name="Labels">Beside "sandbox", which all have.</param>
sealed record MetricFamily(string Name, MetricType Type, string Unit, string Help, params string[] Labels);
