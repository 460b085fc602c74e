package interop

import (
	"fmt"
	"testing"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

// A record's definition in Avro, with so many fields that have defaults.
func record(fields int) string {
	text := `{"name":"n","type":"int"}`
	for n := range fields {
		text += fmt.Sprintf(`,{"name":"f%d","type":"int","default":0}`, n)
	}
	return `{"type":"record","name":"R","fields":[` + text + `]}`
}

func adminSchemas(t *testing.T, s *adminScript) {
	schemas, name := s.Schemas(), s.newAdminTopic(t)
	topic := name.String()
	path, properties := "/admin/v2/schemas/"+name.GetTenant()+"/n/t", map[string]string{"p": "1"}
	payload := func(fields int) utils.PostSchemaPayload {
		return utils.PostSchemaPayload{SchemaType: "AVRO", Schema: record(fields), Properties: properties}
	}
	info := func(fields int) utils.SchemaInfo {
		return utils.SchemaInfo{Name: "t", Type: "AVRO", Schema: []byte(record(fields)), Properties: properties}
	}
	check(t, schemas.CreateSchemaByPayload(topic, payload(0)))
	got := must[*utils.SchemaInfo](t)(schemas.GetSchemaInfo(topic))
	equal(t, got.Type, "AVRO", "type")
	equal(t, string(got.Schema), record(0), "definition")
	equal(t, got.Properties["p"], "1", "property")
	check(t, schemas.CreateSchemaBySchemaInfo(topic, info(1)))
	latest := must[*utils.SchemaInfoWithVersion](t)(schemas.GetSchemaInfoWithVersion(topic))
	equal(t, latest.Version, 1, "version of the second")
	equal(t, string(latest.SchemaInfo.Schema), record(1), "definition of the second")
	equal(t, restJSON[map[string]any](t, path+"/schema")["data"], any(record(1)), "definition by REST")
	first := must[*utils.SchemaInfo](t)(schemas.GetSchemaInfoByVersion(topic, 0))
	equal(t, string(first.Schema), record(0), "definition of version 0")
	all := must[[]*utils.SchemaInfoWithVersion](t)(schemas.GetAllSchemas(topic))
	equal(t, len(all), 2, "versions")
	equal(t, string(all[0].SchemaInfo.Schema), record(0), "first of all")
	equal(t, must[int64](t)(schemas.GetVersionByPayload(topic, payload(0))), 0, "version of the first")
	equal(t, must[int64](t)(schemas.GetVersionBySchemaInfo(topic, info(1))), 1, "version of the second")

	fits := must[*utils.IsCompatibility](t)(schemas.TestCompatibilityWithPostSchemaPayload(topic, payload(2)))
	equal(t, fits.IsCompatibility, true, "one more field with a default fits")
	const text = `{"type":"record","name":"R","fields":[{"name":"n","type":"string"}]}`
	broken := utils.SchemaInfo{Type: "AVRO", Schema: []byte(text)}
	fits = must[*utils.IsCompatibility](t)(schemas.TestCompatibilityWithSchemaInfo(topic, broken))
	equal(t, fits.IsCompatibility, false, "another type of a field fits")
	equal(t, fits.SchemaCompatibilityStrategy, "FULL", "strategy")
	refusal(t, schemas.CreateSchemaBySchemaInfo(topic, broken), 409, "")

	// A producer with the definition that is there may come, one with another may not.
	client := newClient(t)
	newProducer(t, client, pulsar.ProducerOptions{Topic: topic, Schema: pulsar.NewAvroSchema(record(1), nil)})
	other := pulsar.NewAvroSchema(text, nil)
	if _, err := client.CreateProducer(pulsar.ProducerOptions{Topic: topic, Schema: other}); err == nil {
		t.Fatal("a producer with a schema that does not fit")
	}
	check(t, schemas.DeleteSchema(topic))
	_, err := schemas.GetSchemaInfo(topic)
	refusal(t, err, 404, "")
	check(t, schemas.CreateSchemaByPayload(topic, payload(3)))
	if version := must[*utils.SchemaInfoWithVersion](t)(schemas.GetSchemaInfoWithVersion(topic)).Version; version < 2 {
		t.Fatalf("version %d is used again", version)
	}
	check(t, schemas.ForceDeleteSchema(topic))
	equal(t, len(must[[]*utils.SchemaInfoWithVersion](t)(schemas.GetAllSchemas(topic))), 0, "versions that are left")
	s.checked("Schemas", "CreateSchemaByPayload", "CreateSchemaBySchemaInfo", "GetSchemaInfo",
		"GetSchemaInfoWithVersion", "GetSchemaInfoByVersion", "GetAllSchemas", "GetVersionByPayload",
		"GetVersionBySchemaInfo", "TestCompatibilityWithPostSchemaPayload", "TestCompatibilityWithSchemaInfo",
		"DeleteSchema", "ForceDeleteSchema")
}
