using System.Text;
using System.Xml;

namespace Sandbox.Policy.Language;

/// <summary>Results of cases in JUnit's form, which CI services read.</summary>
public static class CaseReport
{
    public static string JUnit(
        IReadOnlyList<(string Suite, IReadOnlyList<(string Name, string? Problem)> Cases)> suites)
    {
        var text = new StringBuilder();
        using (var xml = XmlWriter.Create(
            text, new XmlWriterSettings { Indent = true, OmitXmlDeclaration = true, CheckCharacters = false }))
        {
            xml.WriteStartElement("testsuites");
            foreach ((string suite, IReadOnlyList<(string Name, string? Problem)> cases) in suites)
            {
                xml.WriteStartElement("testsuite");
                xml.WriteAttributeString("name", suite);
                xml.WriteAttributeString("tests", $"{cases.Count}");
                xml.WriteAttributeString("failures", $"{cases.Count(one => one.Problem is not null)}");
                foreach ((string name, string? problem) in cases)
                {
                    xml.WriteStartElement("testcase");
                    xml.WriteAttributeString("classname", suite);
                    xml.WriteAttributeString("name", name);
                    if (problem is not null)
                    {
                        xml.WriteStartElement("failure");
                        xml.WriteAttributeString("message", problem);
                        xml.WriteEndElement();
                    }

                    xml.WriteEndElement();
                }

                xml.WriteEndElement();
            }

            xml.WriteEndElement();
        }

        return text.Append('\n').ToString();
    }
}
