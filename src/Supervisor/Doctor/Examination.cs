namespace Sandbox.Supervisor.Doctor;
static class Examination { public static int Run() => 1; }
