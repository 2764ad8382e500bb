export * from "./telemetry/opentelemetry.ts";
