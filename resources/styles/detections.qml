<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<!-- One detection: a white halo, on it the outline whose colour is set by class (styles.py), a label on its top corner. -->
<qgis version="3.22.0" styleCategories="Symbology|Labeling" labelsEnabled="1">
  <renderer-v2 type="singleSymbol">
    <symbols>
      <symbol type="fill" name="0" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleLine" enabled="1" locked="1" pass="0">
          <Option type="Map">
            <Option type="QString" name="joinstyle" value="miter"/>
            <Option type="QString" name="line_color" value="255,255,255,170"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="1.1"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="joinstyle" value="miter"/>
            <Option type="QString" name="line_color" value="227,26,28,255"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="0.5"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
          </Option>
        </layer>
      </symbol>
    </symbols>
  </renderer-v2>
  <labeling type="simple">
    <settings>
      <text-style fieldName="&quot;class_name&quot; || ' ' || format_number(&quot;score&quot;, 2)" isExpression="1" namedStyle="Bold" fontWeight="75" fontSize="7.5" fontSizeUnit="Point" textColor="20,20,20,255" textOpacity="1">
        <text-buffer bufferDraw="1" bufferColor="255,255,255,220" bufferOpacity="1" bufferSize="0.6" bufferSizeUnits="MM"/>
      </text-style>
      <placement placement="1" quadOffset="1" yOffset="-0.6" labelOffsetMapUnitScale="3x:0,0,0,0,0,0" offsetUnits="MM" priority="5" geometryGeneratorEnabled="1" geometryGeneratorType="PointGeometry" geometryGenerator="point_n($geometry, array_first(array_filter(generate_series(1, num_points($geometry)), y(point_n($geometry, @element)) = y_max($geometry))))"/>
      <rendering drawLabels="1" scaleVisibility="1" scaleMin="0" scaleMax="10000" obstacle="1" obstacleType="1"/>
    </settings>
  </labeling>
</qgis>
