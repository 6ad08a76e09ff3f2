{{- define "gnomon.labels" -}}
app.kubernetes.io/name: gnomon
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "gnomon.stateEnv" -}}
- { name: GNOMON_STATE, value: aws }
- { name: GNOMON_BUCKET, value: {{ required "state.bucket: the bucket of the state" .Values.state.bucket | quote }} }
- { name: GNOMON_QUEUE_URL, value: {{ required "state.queueUrl: the queue of the jobs" .Values.state.queueUrl | quote }} }
- { name: GNOMON_DEAD_LETTER_QUEUE_URL, value: {{ required "state.deadLetterQueueUrl: the jobs' dead letters" .Values.state.deadLetterQueueUrl | quote }} }
- { name: GNOMON_WEBHOOK_QUEUE_URL, value: {{ required "state.webhookQueueUrl: the queue of the webhooks" .Values.state.webhookQueueUrl | quote }} }
- { name: AWS_REGION, value: {{ required "state.region: an AWS region" .Values.state.region | quote }} }
- { name: GNOMON_S3_ENDPOINT, value: {{ .Values.state.s3Endpoint | quote }} }
- { name: GNOMON_SQS_ENDPOINT, value: {{ .Values.state.sqsEndpoint | quote }} }
{{- end }}

{{- define "gnomon.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "gnomon.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
