package geminga;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.jar.JarOutputStream;
import org.junit.jupiter.api.Test;

/** Schemas that come from classes. */
class SchemaFilesTest extends Script {
    /** What the tool makes a schema of. */
    public static class Row {
        public int number;
    }

    /** The tool has its own class path before the archive's, so the archive may be empty. */
    @Test
    void aSchemaIsExtractedFromAClass() throws Exception {
        Path archive = Files.createTempFile("rows", ".jar");
        try {
            new JarOutputStream(Files.newOutputStream(archive)).close();
            run("schemas extract TOPIC -j " + archive + " -c " + Row.class.getName() + " -t avro");
            finds("schemas get TOPIC", "'type': 'AVRO'");
            holds("the class's field", () -> admin.schemas().getSchemaInfo(topic).getSchemaDefinition().contains("number"));
        } finally {
            Files.delete(archive);
        }
    }
}
